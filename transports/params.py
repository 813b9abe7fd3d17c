"""What every transport tells Pipecat: 16 kHz mono from the user, the voice's own rate to them, some 10 ms at a time."""

from pipecat.transports.base_transport import TransportParams

IN_RATE_HZ = 16_000


def transport_params(out_rate_hz: int, n_10ms: int = 2) -> TransportParams:
    """Pipecat's parameters of a transport.

    Args:
        out_rate_hz: Rate of the agent's voice.
        n_10ms: How many times 10 ms the transport is given at a time.
    """
    return TransportParams(
        audio_in_enabled=True,
        audio_in_sample_rate=IN_RATE_HZ,
        audio_out_enabled=True,
        audio_out_sample_rate=out_rate_hz,
        audio_out_10ms_chunks=n_10ms,
        audio_out_end_silence_secs=0,
    )
