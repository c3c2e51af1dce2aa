"""Entry point of the app, on a Hugging Face Space and anywhere else: ``python app.py``."""

import sys

from tagger.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
