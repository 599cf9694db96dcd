"""The web page: `streamlit run sign_cnn/app/streamlit_app.py`, also in a clone where nothing is installed."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from sign_cnn.app import page  # noqa: E402

if __name__ == "__main__":
    page.show()
