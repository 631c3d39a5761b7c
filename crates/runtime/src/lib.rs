//! Node workers: dependencies, spawn, frame protocol, pool and queue, deadlines, reload, logs.
