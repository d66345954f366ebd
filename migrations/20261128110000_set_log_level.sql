-- Log lines that an admin asks for, on all instances, for a while.
CREATE TABLE ar.log_level (
    only_row boolean CONSTRAINT log_level_pkey PRIMARY KEY DEFAULT true CONSTRAINT log_level_only_row CHECK (only_row),
    filter   varchar(200) NOT NULL CONSTRAINT log_level_filter_filled CHECK (filter <> ''),
    until    timestamptz NOT NULL
);
COMMENT ON TABLE ar.log_level IS 'Which log lines all instances write in place of what their LOG_LEVEL says, if an admin asked for that.';
COMMENT ON COLUMN ar.log_level.only_row IS 'There is one row at most.';
COMMENT ON COLUMN ar.log_level.filter IS 'The filter, in the syntax of LOG_LEVEL.';
COMMENT ON COLUMN ar.log_level.until IS 'Until when; each instance goes back by itself then.';
