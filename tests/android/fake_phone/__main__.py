"""Run a fake phone by hand: ``python -m tests.android.fake_phone FOLDER [MODEL]``.

Prints the port; ``adb connect 127.0.0.1:PORT`` then finds it. Switches: see phone.py.
"""

import socket
import sys
from pathlib import Path

from tests.android.fake_phone.adbd import serve
from tests.android.fake_phone.phone import make_phone

phone = make_phone(Path(sys.argv[1]).resolve(), model=" ".join(sys.argv[2:]) or "Fake 1")
listener = socket.create_server(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
serve(listener, phone)
