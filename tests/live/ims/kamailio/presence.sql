-- Resource lists (RFC 4662, RFC 4826 rls-services): sip:friends@ims.test is a list of three users.
-- rls looks the document up under the watcher's From user; doc_type 8 is "rls-services".
CREATE TABLE list_watchers (username VARCHAR(64));
INSERT INTO list_watchers VALUES ('alice'), ('bob'), ('carol'), ('gw1'), ('gw2'), ('gw3');
INSERT INTO xcap (username, domain, doc, doc_type, etag, source, doc_uri, port)
SELECT username, 'ims.test',
'<?xml version="1.0" encoding="UTF-8"?>
<rls-services xmlns="urn:ietf:params:xml:ns:rls-services" xmlns:rl="urn:ietf:params:xml:ns:resource-lists">
  <service uri="sip:friends@ims.test">
    <list name="friends">
      <rl:entry uri="sip:alice@ims.test"/>
      <rl:entry uri="sip:bob@ims.test"/>
      <rl:entry uri="sip:carol@ims.test"/>
    </list>
    <packages><package>presence</package></packages>
  </service>
</rls-services>',
8, 'test', 0, 'test/rls-services/users/sip:' || username || '@ims.test/index', 0 FROM list_watchers;
