"""Where networks come from beside a class that is named: timm, a folder of transformers or timm, a whole program."""
