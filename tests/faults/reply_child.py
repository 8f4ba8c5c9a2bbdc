"""Appends two events and dies between the commit and the reply."""

import os
import signal
import sys

from ingest_child import event

from polyscene.events.sqlite import SqliteLog

log = SqliteLog(sys.argv[1])
log.append([event(1), event(2)])
os.kill(os.getpid(), signal.SIGKILL)
