CREATE ROLE app LOGIN;
CREATE TABLE prices (name text PRIMARY KEY, cents integer NOT NULL);
INSERT INTO prices VALUES ('lamp', 4900), ('chair', 12900);
GRANT SELECT ON prices TO app;
