"""Floor 1: SIP on twisted.protocols.sip: messages, transactions, dialogs, transport."""
