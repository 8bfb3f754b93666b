"""The web's end of the media path: ICE-lite and DTLS-SRTP towards browsers, and clients without ICE."""
