"""The queue's programs: `fill N` puts numbers in, `work` squares them, `check N` says whether each was done once.

A number is moved from `todo` to the worker's own list and leaves it together with its result, so that whatever ends where,
it is done again and counted once: a set knows who was counted.
"""

import os
import sys
import time

import redis


def connected():
    made = redis.Redis(host=os.environ["REDIS"], socket_connect_timeout=2, decode_responses=True)
    while True:
        try:
            made.ping()
            return made
        except redis.RedisError:
            time.sleep(0.2)


def fill(count):
    """With an index (of an Indexed Job) only that share of 1..count."""
    index, shares = int(os.environ.get("JOB_COMPLETION_INDEX", 0)), int(os.environ.get("SHARES", 1))
    made = connected()
    for number in range(1 + index, count + 1, shares):
        if made.sadd("known", number):
            made.rpush("todo", number)
    print(f"share {index} of {shares} is in the queue")


def work():
    me = f"doing:{os.environ['POD_NAME']}"
    while True:
        try:
            made = connected()
            for key in made.scan_iter("doing:*"):  # what a worker left that is no more
                if key == me or not made.exists(f"alive:{key}"):
                    while made.rpoplpush(key, "todo"):
                        pass
            made.set(f"alive:{me}", 1, ex=5)
            number = made.brpoplpush("todo", me, timeout=1)
            if number is None:
                continue
            with made.pipeline(transaction=True) as steps:
                steps.hset("done", number, int(number) ** 2)
                steps.lrem(me, 1, number)
                steps.execute()
            print(f"{number} squared is {int(number) ** 2}")
        except redis.RedisError as error:
            print(f"the queue doesn't answer: {error}")
            time.sleep(0.2)


def check(count):
    made, wanted = connected(), sum(n * n for n in range(1, count + 1))
    while made.hlen("done") < count:
        time.sleep(0.2)
    found = sum(map(int, made.hvals("done")))
    with open("/results/sum", "w") as file:
        file.write(f"{found}\n")
    print(f"the sum is {found}, should be {wanted}")
    sys.exit(found != wanted)


what, *rest = sys.argv[1:]
{"fill": fill, "work": work, "check": check}[what](*map(int, rest))
