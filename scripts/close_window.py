"""Close a window as a user does, by the x that the window manager draws."""

import ctypes
from ctypes.util import find_library

from qtpy.QtWidgets import QMainWindow


class _ClientMessage(ctypes.Structure):
    """XClientMessageEvent of Xlib.h, as long as the union XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("_pad", ctypes.c_long * 24),
    )


def click_x(window: QMainWindow) -> None:
    """Send what the window manager of an X server sends when the x is clicked.

    Nobody is asked who is not asked then, and whoever is asked then is.
    """
    x11 = ctypes.CDLL(find_library("X11"))
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(None))

    def atom(name: bytes) -> int:
        return int(x11.XInternAtom(display, name, 0))

    client_message, format_of_longs = 33, 32
    message = _ClientMessage(client_message, 0, 1, display, int(window.winId()))
    message.message_type, message.format = atom(b"WM_PROTOCOLS"), format_of_longs
    message.data[0] = atom(b"WM_DELETE_WINDOW")
    x11.XSendEvent(display, message.window, 0, 0, ctypes.byref(message))
    x11.XCloseDisplay(display)
