"""Reads a stream with requests or httpx as a script can: prints each event once its blank line has come, and goes on after the last one of them
whenever the stream ends. What the library raises once a stream has begun becomes a comment."""
import sys
import time

library, url = sys.argv[1:]
if library == 'requests':
    import requests

    def lines(headers):
        with requests.get(url, headers=headers, stream=True, timeout=(5, None)) as response:
            yield None
            # As soon as they are there: by default, requests waits for 512 bytes.
            yield from response.iter_lines(chunk_size=None, decode_unicode=True)
else:
    import httpx

    def lines(headers):
        with httpx.stream('GET', url, headers=headers, timeout=httpx.Timeout(5, read=None)) as response:
            yield None
            yield from response.iter_lines()

cursor, pause = '', 1.0
while True:
    event, last, begun = [], cursor, False
    try:
        for line in lines({'Last-Event-ID': cursor} if cursor else {}):
            if line is None:
                begun = True
                continue
            line = line.rstrip('\r\n')
            if line:
                event.append(line)
                name, _, value = line.partition(': ')
                if name == 'id':
                    last = value
                elif name == 'retry':
                    pause = int(value) / 1000
            elif event:
                print('\n'.join(event), end='\n\n', flush=True)
                event, cursor = [], last
    except Exception as error:
        if begun:
            print(f': raised {type(error).__name__}', flush=True)
    time.sleep(pause)
