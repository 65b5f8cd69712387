"""Reads a WebSocket with Python's websockets as a program can: publishes once, prints each frame, and comes back with the last id whenever it ends."""
import asyncio
import json
import sys

import websockets

url, topic = sys.argv[1:]


async def main():
    cursor, pause, publishes = None, 1.0, True
    while True:
        try:
            async with websockets.connect(f'{url}?lastEventId={cursor}' if cursor else url) as socket:
                if publishes:
                    await socket.send(json.dumps({'publish': topic, 'data': {'from': 'Python'}, 'request': 'one'}))
                    publishes = False
                async for text in socket:
                    print(text, flush=True)
                    frame = json.loads(text)
                    cursor = frame.get('id', cursor)
                    pause = frame.get('retryMs', pause * 1000) / 1000
                print(f'# ended with {socket.close_code}', flush=True)
        except (websockets.WebSocketException, OSError) as error:
            print(f'# raised {type(error).__name__}: {error}', flush=True)
        await asyncio.sleep(pause)


asyncio.run(main())
