# Publishes one message, or reads a stream, with a client of Python's. Prints the status, or what comes in.
# Usage: python3 real-client.py (http.client|requests) (publish|stream) ORIGIN PATH
import http.client
import sys
import urllib.parse

library, what, origin, path = sys.argv[1:5]
# Nothing that is set around the tests may send this elsewhere.
no_proxies = {'http': '', 'https': ''}

if library == 'http.client':
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(origin).netloc)
    if what == 'publish':
        connection.request('POST', path, 'from http.client', {'Content-Type': 'text/plain'})
        print(connection.getresponse().status)
    else:
        connection.request('GET', path, headers={'Accept': 'text/event-stream'})
        for line in connection.getresponse():
            print(line.decode(), end='', flush=True)
else:
    import requests
    if what == 'publish':
        print(requests.post(origin + path, json={'from': 'requests'}, proxies=no_proxies).status_code)
    else:
        for line in requests.get(origin + path, stream=True, proxies=no_proxies).iter_lines(chunk_size=1):
            print(line.decode(), flush=True)
