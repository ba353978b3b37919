-- What a question is made of, and what became of it. Never edit a released migration: write the next one.

-- What goes with a question beside its text: JSON, without addresses of files. NULL once the turn has ended.
ALTER TABLE turns ADD COLUMN beside TEXT;

-- The question was deleted: the reply's messages are to be deleted as well.
ALTER TABLE turns ADD COLUMN retract INTEGER NOT NULL DEFAULT 0 CHECK (retract IN (0, 1));
CREATE INDEX turns_to_retract ON turns (id) WHERE retract = 1;

-- Whoever forgets the question forgets what went with it.
CREATE TRIGGER turns_forget AFTER UPDATE OF question ON turns WHEN NEW.question IS NULL AND NEW.beside IS NOT NULL
BEGIN
    UPDATE turns SET beside = NULL WHERE id = NEW.id;
END;

-- Further messages of a question that was written in several. They are claimed by this, and answered with the first one.
CREATE TABLE joined (
    message_id INTEGER PRIMARY KEY,
    turn_id    TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE
) STRICT;

CREATE INDEX joined_by_turn ON joined (turn_id);

-- The message that a line replies to, so that a chain of replies can be followed.
ALTER TABLE messages ADD COLUMN replied_to INTEGER;
