"""`python -m sinefield …` is `python train.py …`, from any folder."""

from sinefield.runs.program import program

if __name__ == "__main__":
    program()
