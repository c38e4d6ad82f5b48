// The overview: another photo is chosen in place, and whoever points at an answer sees its heat map. Without this
// script the photos and the answers are links to the pages that show them.
"use strict";
(() => {
  const tour = document.querySelector(".tour");
  const told = document.querySelector(".told");
  const links = [...document.querySelectorAll(".choosing .picker a")];
  if (!tour) return;

  // Photo -> what stands in its places; a photo's pictures are fetched when it is asked for.
  const kept = new Map();
  for (const one of document.querySelectorAll("template[data-choice]")) kept.set(one.dataset.choice, one.content);
  let shown = links[0]?.dataset.choice;
  let wanted = shown;

  function fetched(id) {
    const images = [...(kept.get(id)?.querySelectorAll("img") ?? [])];
    return Promise.all(images.map((image) => Object.assign(new Image(), { src: image.getAttribute("src") }).decode()));
  }

  async function show(id) {
    wanted = id;
    for (const link of links) {
      if (link.dataset.choice === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    await fetched(id).catch(() => {}); // a picture that is missing is told of by its words
    if (wanted !== id || shown === id) return;
    const content = kept.get(id);
    const old = new DocumentFragment();
    for (const [place, name] of [
      [told, ".told"],
      [tour, ".tour"],
    ]) {
      const [now, next] = [place.cloneNode(), content.querySelector(name)];
      now.append(...place.childNodes);
      place.append(...next.childNodes);
      old.append(now);
    }
    for (const image of tour.querySelectorAll("img")) image.loading = "eager";
    kept.set(shown, old);
    kept.delete(id);
    shown = id;
    chosen = null;
    back();
  }

  // What the address names; the photo that the page begins with where it names none.
  const begun = shown;
  function follow() {
    const id = new URLSearchParams(location.hash.slice(1)).get("photo") ?? begun;
    if (id === wanted || !links.some((link) => link.dataset.choice === id)) return;
    show(id);
  }

  function pick(link) {
    show(link.dataset.choice);
    location.replace(`#photo=${link.dataset.choice}`);
  }

  const plain = (event) => !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
  for (const [place, link] of links.entries()) {
    link.addEventListener("pointerenter", () => fetched(link.dataset.choice).catch(() => {}));
    link.addEventListener("click", (event) => {
      if (!plain(event)) return;
      event.preventDefault();
      pick(link);
    });
    link.addEventListener("keydown", (event) => {
      const other = plain(event) && links[place + step[event.key]];
      if (!other) return;
      event.preventDefault();
      other.focus();
      pick(other);
    });
  }

  // The map of an answer is laid over the photo: all maps of a photo are one picture, moved to the wanted one.
  let chosen = null; // the answer that was clicked; null: the first

  function lay(answer) {
    const evidence = tour.querySelector(".evidence[data-veils]");
    if (!evidence) return;
    let over = evidence.querySelector(".over");
    if (!over) {
      over = document.createElement("span");
      over.className = "over";
      over.append(new Image(), new Image());
      for (const image of over.children) image.alt = "";
      over.firstChild.src = evidence.dataset.photo;
      over.lastChild.src = evidence.dataset.veils;
      evidence.querySelector("img").after(over);
    }
    const place = Number(answer.dataset.place);
    over.hidden = place === 0; // the picture below shows that one
    over.lastChild.style.objectPosition = `0 ${25 * place}%`;
    evidence.querySelector(".of").replaceChildren(answer.querySelector("bdi").cloneNode(true));
    for (const other of answers()) {
      if (other === answer) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    }
  }

  const answers = () => [...tour.querySelectorAll("[data-place]")];
  const at = (event) => event.target.closest?.("[data-place]");

  // What the pointer or the keys are on is shown for as long as they are there; a click chooses it.
  function back() {
    const answer = chosen ?? answers()[0];
    if (answer) lay(answer);
  }

  tour.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const answer = at(event);
    if (answer) lay(answer);
  });
  tour.addEventListener("pointerout", (event) => at(event) && back());
  tour.addEventListener("focusin", (event) => {
    const answer = at(event);
    if (answer) lay(answer);
  });
  tour.addEventListener("focusout", (event) => at(event) && back());
  tour.addEventListener("click", (event) => {
    const answer = at(event);
    if (!answer || !plain(event)) return;
    event.preventDefault();
    chosen = answer;
    lay(answer);
  });
  tour.addEventListener("keydown", (event) => {
    const all = answers();
    const other = at(event) && plain(event) && all[all.indexOf(at(event)) + step[event.key]];
    if (!other) return;
    event.preventDefault();
    other.focus();
  });

  addEventListener("hashchange", follow);
  follow();
})();
