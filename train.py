"""Fit one signal: `python train.py loss=laplacian signal.path=cat.jpg`; every knob is in conf/.

`python train.py --help` explains `resume=`, `repeat=`, `trust=` and `debug=`. Outside of a clone the same program is
`python -m sinefield`.
"""

from sinefield.runs.program import program

if __name__ == "__main__":
    program()
