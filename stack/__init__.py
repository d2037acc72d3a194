"""The processes of one installation: embedded servers, the supervisor that keeps everything running, one lock.

Knows command lines, signals and files; never looks into a job, a model or a queue.
"""
