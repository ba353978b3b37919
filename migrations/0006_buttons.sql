-- What members press. Never edit a released migration: write the next one.

-- A turn that asks a question once more takes the place of the turn before it (no foreign key: that one may be gone, which
-- changes nothing, and each turn that goes would be looked for). The press is its claim, in discord_message_id.
ALTER TABLE turns ADD COLUMN replaces TEXT;
-- The message with the question, where the claim is a press.
ALTER TABLE turns ADD COLUMN question_id INTEGER;
-- The provider to ask last: the answer that is replaced was its.
ALTER TABLE turns ADD COLUMN ask_last TEXT;
-- Only the press's own token reaches the reply, such as one that a single person sees: another process can't go on with it.
ALTER TABLE turns ADD COLUMN hooked INTEGER NOT NULL DEFAULT 0 CHECK (hooked IN (0, 1));

-- A turn is replaced once, however often somebody presses.
CREATE UNIQUE INDEX turns_by_replaced ON turns (replaces) WHERE replaces IS NOT NULL;

CREATE INDEX turns_by_question ON turns (question_id) WHERE question_id IS NOT NULL;

-- The attempt that gave the answer; step and model are unknown where the answer was known already, and no call was made.
ALTER TABLE feedback ADD COLUMN step INTEGER;
ALTER TABLE feedback ADD COLUMN provider TEXT;
ALTER TABLE feedback ADD COLUMN model TEXT;

CREATE INDEX feedback_by_time ON feedback (at);
