"""What the kit runs in the workers instead of our `perform`: it tells what happens, and obeys its payload."""

import os
import pickle
import signal


def row(ticket, payload):
    return act(ticket, payload, "row")


def one(task):
    ticket, payload = task
    return act(ticket, payload, "one")


def act(ticket, payload, shape):
    folder, deed, argument = pickle.loads(payload)
    tell(folder, f"start {ticket.chunk} {shape} {os.getpid()}")
    if deed == "hold":
        take(folder, argument)
    elif deed == "raise":
        raise RuntimeError("asked to")
    elif deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed == "sum":
        tell(folder, f"sum {ticket.chunk} {len(argument)} {sum(argument)}")
    tell(folder, f"end {ticket.chunk}")
    return ticket.chunk


def tell(folder, line):
    with open(f"{folder}/news", "wb", buffering=0) as news:
        news.write(line.encode() + b"\n")


def take(folder, gate):
    """Wait until somebody writes a byte."""
    with open(f"{folder}/{gate}", "rb", buffering=0) as pipe:
        pipe.read(1)


lambda_row = lambda ticket, payload: ticket.chunk
lambda_one = lambda task: task[0].chunk
