#!/usr/bin/env python3
"""Measures push and clone against plain copies of the same bytes, on this machine.

    python3 scripts/bench_remote.py --store STORE [--gloss target/release/gloss] [--reps 3]
        [--python target/moto/bin/python]

STORE is a store whose head is one small commit after the rest. It is copied, pushed without that
commit, cloned, and pushed with it: to a directory and to an S3 server on loopback (moto, from the
environment that the tests make: run them once). Beside it `cp` and boto3's upload_file and
download_file (8 MiB parts, 8 threads, as it does by itself) move one file of the same bytes. The
server runs in this machine too: compare wall times of one run with each other. Prints a Markdown
table of medians.
"""
import argparse, json, os, pathlib, shutil, socket, statistics, subprocess, sys, tempfile, time

WHO = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.com"))}
COPY = """
import boto3, os, sys, time
s3 = boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL'])
begin = time.perf_counter()
if sys.argv[1] == 'up':
    s3.upload_file(sys.argv[2], 'labels', 'copy')
else:
    s3.download_file('labels', 'copy', sys.argv[2])
print(time.perf_counter() - begin)
"""


def run(command, env):
    """Wall seconds, CPU seconds and peak memory in MB of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=env)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))}: {error.decode()}")
    return (time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def size(path):
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def serve(python):
    """A fresh server with an empty bucket: its process and what the environment must say."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([python.with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "x",
           "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
           "AWS_DEFAULT_REGION": "us-east-1"}
    make = ("import boto3, os; boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL'])"
            ".create_bucket(Bucket='labels')")
    for _ in range(100):
        if subprocess.run([python, "-c", make], env={**os.environ, **env},
                          stderr=subprocess.DEVNULL).returncode == 0:
            return server, env
        time.sleep(0.1)
    sys.exit("the server does not start")


def once(args, work, url, env, note):
    gloss, env = args.gloss, {**os.environ, **WHO, **env}
    store = work / "store"
    shutil.copytree(args.store, store)
    tip = subprocess.run(["git", "--git-dir", store / ".gloss/git", "rev-parse", "HEAD"],
                         capture_output=True, text=True, check=True).stdout.strip()
    git = ["git", "--git-dir", store / ".gloss/git", "update-ref", "refs/heads/main"]
    subprocess.run([*git, f"{tip}~1"], check=True)
    run([gloss, "-C", store, "remote", "add", "origin", url], env)
    note("push of everything", run([gloss, "-C", store, "push"], env))
    note("clone of it", run([gloss, "clone", url, work / "copy"], env))
    note("clone --history-only", run([gloss, "clone", "--history-only", url, work / "thin"], env))
    subprocess.run([*git, tip], check=True)
    note("push of a small commit", run([gloss, "-C", store, "push"], env))
    note("fetch of it", run([gloss, "-C", work / "copy", "fetch"], env))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--store", type=pathlib.Path, required=True)
    parser.add_argument("--gloss", type=pathlib.Path, default="target/release/gloss")
    parser.add_argument("--python", type=pathlib.Path, default="target/moto/bin/python")
    parser.add_argument("--reps", type=int, default=3)
    args = parser.parse_args()
    args.gloss, args.python = args.gloss.absolute(), args.python.absolute()
    bytes_ = sum(size(args.store / ".gloss" / part) for part in ("objects", "git"))
    found = {}
    # Nothing is removed meanwhile: ext4 is slow to give out inodes that were freed a moment ago.
    with tempfile.TemporaryDirectory() as base:
        for rep in range(args.reps):
            for where in ("directory", "s3"):
                work = pathlib.Path(base) / f"{where}-{rep}"
                work.mkdir()

                def note(what, ran):
                    found.setdefault((where, what), []).append(ran)
                noise = work / "noise"
                noise.write_bytes(os.urandom(bytes_))
                if where == "directory":
                    note("cp of the same bytes", run(["cp", noise, work / "noise2"], os.environ))
                    once(args, work, f"file://{work}/remote", {}, note)
                    continue
                server, env = serve(args.python)
                try:
                    for what, way in (("up", "boto3 upload of the same bytes"),
                                      ("down", "boto3 download of it")):
                        ran = subprocess.run([args.python, "-c", COPY, what, noise],
                                             env={**os.environ, **env}, check=True,
                                             capture_output=True, text=True)
                        note(way, (float(ran.stdout), 0.0, 0.0))
                    once(args, work, "s3://labels/team", env, note)
                finally:
                    server.kill()
                    server.wait()
    print(f"{bytes_:,} bytes of objects and history\n\n| where | what | wall s | CPU s | peak MB |")
    print("|---|---|---|---|---|")
    for (where, what), runs in found.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*runs))
        print(f"| {where} | {what} | {wall:.2f} | {cpu:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
