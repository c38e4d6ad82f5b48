"""What the report needs to know of one network, from the network and pictures to records."""
