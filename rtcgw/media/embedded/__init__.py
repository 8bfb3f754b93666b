"""The backend that carries the media in this process."""
