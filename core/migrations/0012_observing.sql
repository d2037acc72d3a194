-- The NVIDIA cards that a worker sees, as it last read them (core/observing/gpus.py); NULL where it uses none.
ALTER TABLE worker ADD COLUMN gpus jsonb;
