"""The Wyoming door: speech, voice and mind for Home Assistant and whatever else speaks its protocol."""
