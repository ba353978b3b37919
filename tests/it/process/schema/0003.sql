-- Rows of every table as schema 3 had them. Never edited once released.
INSERT INTO conversations VALUES (10, 1, 'channel', NULL, 0, 1000, 3000), (11, NULL, 'dm', 2000, 1, 1000, 2000);

INSERT INTO turns VALUES
    ('aaaaaaaaaa', 10, 100, 10, 1, 7, 'ana', 'channel', 'mention', NULL, NULL, NULL, NULL, 'answered', 'alpha', NULL, 1000, 1500, NULL, 0, NULL, NULL, NULL, 0),
    ('bbbbbbbbbb', 11, 101, 11, NULL, 8, 'ben', 'dm', 'dm', 'still there?', NULL, NULL, 'beta', 'answering', NULL, NULL, 2000, NULL, '{"chain":[],"files":[]}', 0, NULL, NULL, NULL, 0),
    ('cccccccccc', 10, 102, 10, 1, 7, 'ana', 'channel', 'reply', NULL, NULL, NULL, NULL, 'failed', 'alpha', 'overloaded', 2500, 3000, NULL, 1, 'aaaaaaaaaa', 100, 'alpha', 1);

INSERT INTO joined VALUES (103, 'bbbbbbbbbb');

INSERT INTO reply_parts VALUES ('aaaaaaaaaa', 0, 200), ('aaaaaaaaaa', 1, 201);

INSERT INTO messages VALUES
    (1, 10, 'aaaaaaaaaa', NULL, 100, 'user', 7, 'ana', 'good evening', 1000, NULL),
    (2, 10, 'aaaaaaaaaa', 1, 200, 'assistant', NULL, NULL, 'Good evening, Ana.', 1500, NULL);

INSERT INTO attempts VALUES
    (1, 'aaaaaaaaaa', 0, 'alpha', 'alpha-1', 1000, 'answered', NULL, NULL, 200, NULL, 120, 500, 40, 12, 0.0003, 0),
    (2, 'aaaaaaaaaa', 1, 'beta', 'beta-1', 1100, 'overtaken', NULL, NULL, NULL, NULL, NULL, 400, 38, 0, 0.0001, 1),
    (3, 'cccccccccc', 0, 'alpha', 'alpha-1', 2500, 'failed', 'overloaded', 'status_503', 503, 1000, NULL, 20, NULL, NULL, NULL, 0);

INSERT INTO rests VALUES
    ('alpha', 'alpha-1', 'overloaded', 4000, 1, 2),
    ('gamma', 'gamma-1', 'rate_limited', 33000, 0, 0);

INSERT INTO pins VALUES ('channel', 10, 1, 'beta', 0, NULL, 9, 1000), ('server', 1, 1, 'alpha', 1, 9000, 9, 1000);

INSERT INTO disabled_providers VALUES (1, 'gamma', NULL, 9, 1000);

INSERT INTO audit VALUES (1, 1, 10, 9, 'mia', 'provider_use', 'beta in this channel', 1000);

INSERT INTO feedback VALUES ('aaaaaaaaaa', 7, 1, 1600, 0, 'alpha', 'alpha-1');

INSERT INTO marks VALUES (0, 2, 102, 3000), (1, 2, 101, 3000);

INSERT INTO starts VALUES (1, 3000, 2);

INSERT INTO opt_outs VALUES (8, 2000);

INSERT INTO quiet_posts VALUES (10, 'solved', 3000);

INSERT INTO registered_commands VALUES (5, 0, '09612b07b5ecb5a5', 1000);
