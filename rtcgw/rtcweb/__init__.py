"""Floor 3: the RTCWeb module (310): WebSocket (450), identifying handler (420), user agent (430), ICE handler (440)."""
