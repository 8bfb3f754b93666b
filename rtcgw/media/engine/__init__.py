"""The backend that leaves the media to rtpengine."""
