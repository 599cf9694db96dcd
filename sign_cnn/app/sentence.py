"""The sentence at the foot of the page: words are added to it, and it can be edited by hand."""

import streamlit as st

KEY = "sentence"
MAX_LENGTH = 500


def show() -> None:
    """Draws the line and its buttons."""
    st.divider()
    st.text_input("Sentence", key=KEY, max_chars=MAX_LENGTH, placeholder="Letters that you add appear here")
    with st.container(horizontal=True):
        st.button("Space", on_click=append, args=(" ",), icon=":material/space_bar:")
        st.button("Delete", on_click=delete_last, icon=":material/backspace:")
        st.button("Clear", on_click=clear, icon=":material/close:")


def append(text: str) -> None:
    """Adds letters or a space at the end."""
    st.session_state[KEY] = (st.session_state.get(KEY, "") + text)[:MAX_LENGTH]


def delete_last() -> None:
    """Removes the last letter or space."""
    st.session_state[KEY] = st.session_state.get(KEY, "")[:-1]


def clear() -> None:
    """Removes everything."""
    st.session_state[KEY] = ""
