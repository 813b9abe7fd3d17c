"""Errors of the edges.

TransportError     the edge cannot do its work
  RecordingError   a recording is missing, empty or not sound
    TooLongError   it is longer than is allowed (sound_file.py)
  RoomError        a simulated room cannot be built as it was described (room.py)
  DeviceError      a sound device is missing, unknown or refuses (desktop_devices.py)
  OfferError       a WebRTC offer cannot lead to a conversation
"""


class TransportError(Exception):
    """An edge failed; the message is one line and names what failed."""


class RecordingError(TransportError):
    """A recording is missing, empty or not sound; the message names the file."""


class OfferError(TransportError):
    """A WebRTC offer cannot lead to a conversation; the message says what it lacks."""
