-- I-CSCF: the one S-CSCF and its capability (ims_icscf)
CREATE TABLE nds_trusted_domains (id INTEGER PRIMARY KEY, trusted_domain VARCHAR(83));
CREATE TABLE s_cscf (id INTEGER PRIMARY KEY, name VARCHAR(83), s_cscf_uri VARCHAR(83));
CREATE TABLE s_cscf_capabilities (id INTEGER PRIMARY KEY, id_s_cscf INTEGER, capability INTEGER);
INSERT INTO nds_trusted_domains VALUES (1, 'ims.test');
INSERT INTO s_cscf VALUES (1, 'S-CSCF', 'sip:@HOST@:@SCSCF@');
INSERT INTO s_cscf_capabilities VALUES (1, 1, 1);
