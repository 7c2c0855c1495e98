CREATE TABLE claims (
    place VARCHAR NOT NULL,
    holder VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    pid INTEGER NOT NULL,
    process_started_at FLOAT NOT NULL,
    heartbeat_at FLOAT NOT NULL,
    PRIMARY KEY (place)
);
CREATE INDEX ix_claims_holder ON claims (holder);
CREATE TABLE datasets (
    id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    description TEXT NOT NULL,
    policy JSON,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_datasets_name ON datasets (name);
CREATE TABLE events (
    id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    at FLOAT NOT NULL,
    kind VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_events_run_id ON events (run_id);
CREATE TABLE holds (
    held VARCHAR NOT NULL,
    wish VARCHAR NOT NULL,
    made_at FLOAT NOT NULL,
    PRIMARY KEY (held)
);
CREATE TABLE jobs (
    id VARCHAR NOT NULL,
    owner VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    script TEXT NOT NULL,
    directory VARCHAR NOT NULL,
    folder VARCHAR NOT NULL,
    resources JSON NOT NULL,
    attributes JSON NOT NULL,
    state VARCHAR NOT NULL,
    native_id VARCHAR NOT NULL,
    native_state VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    exit_code INTEGER,
    message TEXT NOT NULL,
    usage JSON,
    claimed_until FLOAT NOT NULL,
    created_at FLOAT NOT NULL,
    submitted_at FLOAT,
    started_at FLOAT,
    ended_at FLOAT,
    PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_owner_created_at ON jobs (owner, created_at);
CREATE TABLE leases (
    id INTEGER NOT NULL,
    holder VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    pid INTEGER NOT NULL,
    process_started_at FLOAT NOT NULL,
    heartbeat_at FLOAT NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE link_measurements (
    id INTEGER NOT NULL,
    source_site VARCHAR NOT NULL,
    destination_site VARCHAR NOT NULL,
    mover VARCHAR NOT NULL,
    streams INTEGER NOT NULL,
    files INTEGER NOT NULL,
    size_bytes BIGINT NOT NULL,
    seconds FLOAT NOT NULL,
    measured_at FLOAT NOT NULL,
    direction VARCHAR NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_link_measurements_pair ON link_measurements (source_site, destination_site);
CREATE TABLE messages (
    id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    body TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    tries INTEGER NOT NULL,
    not_before FLOAT NOT NULL,
    trouble TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE replicas (
    id INTEGER NOT NULL,
    sha256 VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    site VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    modified_ns BIGINT,
    verified_at FLOAT NOT NULL,
    inode BIGINT,
    PRIMARY KEY (id),
    UNIQUE (site, path)
);
CREATE INDEX ix_replicas_sha256_site ON replicas (sha256, site);
CREATE TABLE rules (
    id INTEGER NOT NULL,
    target VARCHAR NOT NULL,
    copies INTEGER,
    at JSON,
    keep_s FLOAT,
    site VARCHAR NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE runs (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    "plan" JSON NOT NULL,
    fresh BOOLEAN NOT NULL,
    wanted VARCHAR NOT NULL,
    message TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    ended_at FLOAT,
    PRIMARY KEY (id)
);
CREATE INDEX ix_runs_name ON runs (name);
CREATE INDEX ix_runs_state ON runs (state);
CREATE TABLE shipments (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    source_site VARCHAR NOT NULL,
    destination_site VARCHAR NOT NULL,
    files INTEGER NOT NULL,
    size_bytes BIGINT NOT NULL,
    bytes_done BIGINT NOT NULL,
    state VARCHAR NOT NULL,
    message TEXT NOT NULL,
    host VARCHAR NOT NULL,
    pid INTEGER NOT NULL,
    process_started_at FLOAT NOT NULL,
    heartbeat_at FLOAT NOT NULL,
    created_at FLOAT NOT NULL,
    ended_at FLOAT,
    PRIMARY KEY (id)
);
CREATE TABLE uses (
    sha256 VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    used_at FLOAT NOT NULL,
    PRIMARY KEY (sha256, site)
);
CREATE TABLE files (
    id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    path VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    media_type VARCHAR NOT NULL,
    policy JSON,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (dataset_id, path),
    FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE
);
CREATE INDEX ix_files_dataset_id ON files (dataset_id);
CREATE INDEX ix_files_sha256 ON files (sha256);
CREATE TABLE steps (
    id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    expanded BOOLEAN NOT NULL,
    skipped TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (run_id, name),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX ix_steps_run_id ON steps (run_id);
CREATE TABLE attributes (
    id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    file_id INTEGER,
    "key" VARCHAR NOT NULL,
    number FLOAT,
    text TEXT,
    items JSON,
    PRIMARY KEY (id),
    FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE,
    FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE CASCADE
);
CREATE INDEX ix_attributes_dataset_id ON attributes (dataset_id);
CREATE INDEX ix_attributes_file_id ON attributes (file_id);
CREATE INDEX ix_attributes_key_number ON attributes ("key", number);
CREATE TABLE pins (
    id INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    file_id INTEGER,
    site VARCHAR NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(dataset_id) REFERENCES datasets (id) ON DELETE CASCADE,
    FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE CASCADE
);
CREATE INDEX ix_pins_dataset_id ON pins (dataset_id);
CREATE INDEX ix_pins_file_id ON pins (file_id);
CREATE TABLE tasks (
    id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    step_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    label VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    inputs JSON NOT NULL,
    parameters JSON NOT NULL,
    outputs JSON,
    content_key VARCHAR NOT NULL,
    reused_from VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    not_before FLOAT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (step_id, position),
    FOREIGN KEY(run_id) REFERENCES runs (id),
    FOREIGN KEY(step_id) REFERENCES steps (id) ON DELETE CASCADE
);
CREATE INDEX ix_tasks_content_key ON tasks (content_key);
CREATE INDEX ix_tasks_run_state ON tasks (run_id, state);
CREATE INDEX ix_tasks_step_id ON tasks (step_id);
CREATE TABLE transfers (
    id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    step_id INTEGER,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    source_site VARCHAR NOT NULL,
    source_path VARCHAR NOT NULL,
    destination_site VARCHAR NOT NULL,
    destination_path VARCHAR NOT NULL,
    mover VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    bytes_done BIGINT NOT NULL,
    bytes_moved BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before FLOAT NOT NULL,
    message TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    ended_at FLOAT,
    direction VARCHAR NOT NULL,
    streams INTEGER NOT NULL,
    credential VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (run_id, sha256, destination_site),
    FOREIGN KEY(run_id) REFERENCES runs (id),
    FOREIGN KEY(step_id) REFERENCES steps (id) ON DELETE CASCADE
);
CREATE INDEX ix_transfers_run_id ON transfers (run_id);
CREATE INDEX ix_transfers_step_id ON transfers (step_id);
CREATE TABLE attempts (
    id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    task_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    token VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    directory VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    native_id VARCHAR NOT NULL,
    native_state VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    exit_code INTEGER,
    message TEXT NOT NULL,
    resources JSON NOT NULL,
    created_at FLOAT NOT NULL,
    submitted_at FLOAT,
    started_at FLOAT,
    ended_at FLOAT,
    PRIMARY KEY (id),
    UNIQUE (token),
    FOREIGN KEY(run_id) REFERENCES runs (id),
    FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
CREATE INDEX ix_attempts_run_state ON attempts (run_id, state);
CREATE INDEX ix_attempts_task_id ON attempts (task_id);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('0006')
