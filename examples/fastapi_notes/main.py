"""A FastAPI app that shows what such apps are made of: async and plain endpoints, models, uploads, streams, work after
the answer.

Run it under appd:  appctl create notes --directory "$PWD" --app main:app --bind 127.0.0.1:8006
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator

from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, UploadFile, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI(title="Notes")
notes: dict[int, "Note"] = {}
audit: list[str] = []


class Note(BaseModel):
    text: str = Field(min_length=1)
    stars: int = Field(0, ge=0, le=5)


def author(x_author: str = Header("nobody")) -> str:
    return x_author


@app.get("/")
async def hello() -> dict[str, int | str]:
    return {"hello": "from FastAPI under appd", "pid": os.getpid()}


@app.post("/notes", status_code=201)
async def add(note: Note, background: BackgroundTasks, author: str = Depends(author)) -> dict[str, int]:
    number = len(notes) + 1
    notes[number] = note
    background.add_task(write_audit, f"{author} wrote note {number}")
    return {"number": number}


@app.get("/notes/{number}")
async def show(number: int) -> Note:
    if number not in notes:
        raise HTTPException(404, "no such note")
    return notes[number]


def write_audit(line: str) -> None:
    """After the answer, in a thread: the client does not wait for it."""
    time.sleep(0.05)
    audit.append(line)


@app.get("/audit")
async def show_audit() -> list[str]:
    return audit


@app.get("/blocking")
def blocking(ms: int = 100) -> dict[str, int]:
    """A plain `def` may block: it runs in a thread of the pool, and the loop goes on."""
    time.sleep(ms / 1000)
    return {"thread": threading.get_ident()}


@app.post("/upload")
async def upload(file: UploadFile) -> dict[str, int | str | None]:
    size = 0
    while piece := await file.read(1 << 16):
        size += len(piece)
    return {"name": file.filename, "size": size}


@app.get("/stream")
async def stream(lines: int = 10) -> StreamingResponse:
    async def generate() -> AsyncIterator[str]:
        for number in range(lines):
            yield f"line {number}\n"
            await asyncio.sleep(0)

    return StreamingResponse(generate(), media_type="text/plain")


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
