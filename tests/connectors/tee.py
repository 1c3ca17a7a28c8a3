"""Runs a connector and keeps what passes: tee.py DIR PROGRAM OPERATION [ARGUMENTS]

The n-th run of an operation leaves, in DIR, OPERATION.n.jsonl with its output byte for byte and
OPERATION.n.config.json and the like with the files it was given.
"""

import os
import shutil
import subprocess
import sys

folder, program, operation, *arguments = sys.argv[1:]
number = 1
while os.path.exists(os.path.join(folder, f"{operation}.{number}.jsonl")):
    number += 1
kept = os.path.join(folder, f"{operation}.{number}")
for flag, path in zip(arguments[::2], arguments[1::2]):
    shutil.copy(path, f"{kept}.{flag[2:]}.json")
with open(f"{kept}.jsonl", "wb") as copy:
    with subprocess.Popen([program, operation, *arguments], stdout=subprocess.PIPE) as child:
        while chunk := child.stdout.read1(1 << 16):
            copy.write(chunk)
            sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
    sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)
