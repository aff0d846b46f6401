"""A pool of worker threads that takes jobs from a file, and stores their results there.

Prints:
    40 jobs are done
    to be done again: job 13
"""

from concurrent.futures import ThreadPoolExecutor

from playground import new_file

from s3dictionary import S3Dict

JOBS = [f"job {number}" for number in range(41)]


def take(jobs: S3Dict[str, str]) -> str | None:
    """The next job that nobody has taken."""
    for job, state in jobs.items():
        if state == "new":
            jobs[job] = "taken"
            return job
    return None


def finish(jobs: S3Dict[str, str], job: str, state: str) -> None:
    jobs[job] = state


def work(jobs: S3Dict[str, str]) -> None:
    """Do jobs until there are none. Changes that threads make at the same time are saved together."""
    while (job := jobs.run(take)) is not None:
        jobs.run(finish, job, "failed" if job == "job 13" else "done")


if __name__ == "__main__":
    with new_file() as uri:
        jobs: S3Dict[str, str] = S3Dict.from_uri(uri)
        jobs.update(dict.fromkeys(JOBS, "new"))
        jobs.save()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, [jobs] * 8))
        print(list(jobs.values()).count("done"), "jobs are done")
        print("to be done again:", *(job for job, state in jobs.items() if state == "failed"))
