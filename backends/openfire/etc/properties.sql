-- Openfire's system properties that the proxy needs or that spare it trouble. Load them into the database once it is
-- set up, and start Openfire again; or enter them at "Server > Server Manager > System Properties". Times are milliseconds.

-- Stream management (XEP-0198): by its acknowledgements the proxy knows what this server has taken.
INSERT INTO ofProperty (name, propValue) VALUES ('stream.management.active', 'true');
INSERT INTO ofProperty (name, propValue) VALUES ('stream.management.requestFrequency', '5');
-- The proxy resumes where it was; a hint at another host is of no use to it.
INSERT INTO ofProperty (name, propValue) VALUES ('stream.management.location.enabled', 'false');
-- How long a session outlives its connection. After a failover those are sessions of users who are elsewhere.
INSERT INTO ofProperty (name, propValue) VALUES ('xmpp.session.detach.timeout', '60000');

-- A resource that is taken goes to the newer session: after a failover the older one is a ghost of the same client.
INSERT INTO ofProperty (name, propValue) VALUES ('xmpp.session.conflict-limit', '0');

-- Whoever sleeps is asleep behind the proxy, which watches its clients itself.
INSERT INTO ofProperty (name, propValue) VALUES ('xmpp.client.idle', '-1');

-- TLS from the proxy: 'required' with `chat: {starttls: required}`, or 'disabled' with `starttls: never` on a network
-- that is yours alone.
INSERT INTO ofProperty (name, propValue) VALUES ('xmpp.client.tls.policy', 'required');

-- The ways the proxy logs in. Those it does not know (DIGEST-MD5, CRAM-MD5) it passes over.
INSERT INTO ofProperty (name, propValue) VALUES ('sasl.mechs', 'SCRAM-SHA-1,PLAIN');
INSERT INTO ofProperty (name, propValue) VALUES ('sasl.scram-sha-1.iteration-count', '4096');
INSERT INTO ofProperty (name, propValue) VALUES ('xmpp.auth.anonymous', 'false');

-- Not needed today: lets an administrator's login act as any user. Whoever has that password can be anybody, so leave it
-- off unless something of yours uses it.
INSERT INTO ofProperty (name, propValue) VALUES ('sasl.proxyAuth', 'false');

-- Messages for nobody are kept, and not sent back as long as there is room.
INSERT INTO ofProperty (name, propValue) VALUES ('xmpp.offline.type', 'store_and_bounce');
