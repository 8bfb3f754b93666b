"""A small IMS core of independent software: Kamailio as I-CSCF, S-CSCF and presence server, and an HSS."""
