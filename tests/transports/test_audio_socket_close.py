"""AudioSocket connections that are closed while the far side takes nothing in."""

import asyncio

from tests.support.virtual_time import in_virtual_time
from transports.audio_socket import AudioSocketConnection

# More than the buffers of both sockets hold.
MUCH = bytes(32 * 2**20)


@in_virtual_time
async def test_a_far_side_that_takes_nothing_in_is_cut_off() -> None:
    accepted: asyncio.Future[AudioSocketConnection] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.set_result(AudioSocketConnection(reader, writer)), "127.0.0.1", 0
    )
    async with server:
        # It reads no further than its buffer.
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1024)
        connection = await accepted
        sending = asyncio.create_task(connection.send_bytes(MUCH))
        async with asyncio.timeout(60):
            await connection.close()
        await asyncio.gather(sending, return_exceptions=True)
        assert connection._writer.transport.is_closing()
        assert connection._writer.transport.get_write_buffer_size() == 0
        writer.transport.abort()
        del reader
