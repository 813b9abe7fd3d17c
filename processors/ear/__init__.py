"""From the microphone to speech-to-text: echo, gain, voice activity."""
