// WSGI answers that are not lists of bytes: files, hints, iterables that must be closed.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/component/zygote_process.h"
#include "tests/support/eventually.h"
#include "tests/support/http_client.h"

namespace appd::test {
namespace {

// "/closed" tells which files and bodies were closed, in order, and forgets them.
const char* const kAnswers = R"(
import gzip, io, os, sys, tempfile
from urllib.parse import parse_qs

closed = []

class Closing:
    """Something to iterate over that tells when it is closed."""
    def __init__(self, name, parts):
        self.name, self.parts = name, iter(parts)
    def __iter__(self): return self
    def __next__(self): return next(self.parts)
    def close(self): closed.append(self.name)

class Reader:
    """Readable, and nothing else."""
    def __init__(self, data): self.inner = io.BytesIO(data)
    def read(self, size): return self.inner.read(size)
    def close(self): closed.append("reader")

def counted(name, file):
    """Real files have no room for a close() of ours: Django's way."""
    really = file.close
    def close():
        closed.append(name)
        really()
    file.close = close
    return file

def open_file(kind):
    if kind == "plain": return counted(kind, open("data", "rb"))
    if kind == "big": return counted(kind, open("big", "rb"))
    if kind == "raw": return open("data", "rb", buffering=0)
    if kind == "offset":
        file = open("data", "rb")
        file.read(3)  # the descriptor is at the end now, the reader is not
        return file
    if kind == "temporary":
        file = tempfile.TemporaryFile()
        file.write(b"temporary")  # not flushed
        file.seek(0)
        return file
    if kind == "named":
        file = tempfile.NamedTemporaryFile()
        file.write(b"named")
        file.seek(0)
        return file
    if kind == "spooled":
        file = tempfile.SpooledTemporaryFile()
        file.write(b"spooled")
        file.seek(0)
        return file
    if kind == "bytes": return io.BytesIO(b"bytes")
    if kind == "gzip": return gzip.open("data.gz")
    if kind == "reader": return Reader(b"reader")
    if kind == "empty": return open(os.devnull, "rb")
    if kind == "proc": return open("/proc/sys/kernel/ostype", "rb")
    if kind == "pipe":
        reading, writing = os.pipe()
        os.write(writing, b"pipe")
        os.close(writing)
        return open(reading, "rb")

def ones():
    while True:
        yield b"1" * 65536

def raising():
    yield b"some"
    raise ValueError("late")

class NotIterable:
    def close(self): closed.append("not iterable")

def app(environ, start_response):
    path = environ["PATH_INFO"]
    query = parse_qs(environ["QUERY_STRING"])
    headers = [("Content-Type", "text/plain")]
    if "length" in query:
        headers.append(("Content-Length", query["length"][0]))
    if path.startswith("/file/"):
        wrapper = environ["wsgi.file_wrapper"](open_file(path[6:]), 4096)
        write = start_response("200 OK", headers)
        if "write" in query:
            write(b"written ")
        return wrapper
    if path == "/hints":
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload; as=style"), ("X-B", "c")])
        start_response("200 OK", headers)
        return [b"hinted"]
    if path == "/bad-hints":
        try:
            environ["wsgi.early_hints"]([("Link", "a\r\nSet-Cookie: b=c")])
        except ValueError:
            start_response("200 OK", headers)
            return [b"refused"]
    if path == "/keep-hints":
        app.kept = environ["wsgi.early_hints"]
        start_response("200 OK", headers)
        return [b"kept"]
    if path == "/use-kept-hints":
        try:
            app.kept([("Link", "</late>")])
        except RuntimeError as error:
            start_response("200 OK", headers)
            return [str(error).encode()]
    start_response("200 OK", headers)
    if path == "/endless": return Closing("endless", ones())
    if path == "/raising": return Closing("raising", raising())
    if path == "/whole": return Closing("whole", [b"whole"])
    if path == "/not-iterable": return NotIterable()
    if path == "/exc-info":
        def late():
            yield b"sent"
            try:
                raise KeyError("inner")
            except KeyError:
                start_response("500 Oh", [], sys.exc_info())
        return Closing("exc-info", late())
    if path == "/closed":
        answer = " ".join(closed).encode()
        closed.clear()
        return [answer]
    return []
)";

class WsgiAnswer : public testing::Test {
 protected:
  WsgiAnswer() {
    zygote_.write("data", "0123456789");
    zygote_.write("data.py", "import gzip; gzip.open('data.gz', 'wb').write(b'unpacked')");
  }
  void serve(const std::string& source = kAnswers) {
    zygote_.write("wsgi.py",
                  "import os; os.chdir(os.path.dirname(__file__)); import data\n" + source);
    zygote_.serve(1);
  }
  Answer get(std::string_view path) { return fetch(zygote_.port(), path); }
  std::string closed() { return get("/closed").body; }
  // The worker holds this file of the app's open.
  bool holds(std::string_view name) {
    std::string target = (zygote_.directory() / name).string();
    std::filesystem::path folder = "/proc/" + std::to_string(zygote_.slot(1).pid) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry, gone) == target) return true;
    }
    return false;
  }

  ZygoteProcess zygote_{""};
};

TEST_F(WsgiAnswer, FilesGoOutWithTheirLength) {
  serve();
  for (auto [kind, body] : {std::pair("plain", "0123456789"), std::pair("raw", "0123456789"),
                            std::pair("offset", "3456789"), std::pair("temporary", "temporary"),
                            std::pair("named", "named")}) {
    Answer answer = get(std::string("/file/") + kind);
    EXPECT_EQ(answer.body, body) << kind;
    EXPECT_NE(answer.head.find("Content-Length: "), std::string::npos) << kind;
  }
}

TEST_F(WsgiAnswer, WhatIsNoPlainFileIsRead) {
  serve();
  for (auto [kind, body] :
       {std::pair("bytes", "bytes"), std::pair("gzip", "unpacked"), std::pair("reader", "reader"),
        std::pair("pipe", "pipe"), std::pair("spooled", "spooled"), std::pair("empty", ""),
        std::pair("proc", "Linux\n")}) {
    Answer answer = get(std::string("/file/") + kind);
    EXPECT_EQ(answer.status, 200) << kind;
    EXPECT_EQ(answer.body, body) << kind;
  }
  EXPECT_EQ(closed(), "reader");
}

TEST_F(WsgiAnswer, AFileIsSentUpToContentLength) {
  serve();
  EXPECT_EQ(get("/file/plain?length=4").body, "0123");
  EXPECT_EQ(get("/file/bytes?length=4").body, "byte");
  EXPECT_EQ(get("/file/offset?length=7").body, "3456789");
  EXPECT_EQ(zygote_.log().find("level="), std::string::npos) << "as PEP 3333 says, so no complaint";
}

TEST_F(WsgiAnswer, AFileAfterWriteIsReadOn) {
  serve();
  EXPECT_EQ(get("/file/plain?write=1").body, "written 0123456789");
  EXPECT_EQ(get("/file/plain?write=1&length=18").body, "written 0123456789");
}

TEST_F(WsgiAnswer, HeadOfAFileHasItsLengthAndNoBody) {
  serve();
  HttpClient client(zygote_.port());
  ASSERT_TRUE(client.send("HEAD /file/plain HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_NE(client.receive(true).value_or(Answer{}).head.find("Content-Length: 10\r\n"),
            std::string::npos);
  EXPECT_EQ(client.get("/file/offset").value_or(Answer{}).body, "3456789");
}

// The only thread is free at once, the file is closed, and the engine sends on.
TEST_F(WsgiAnswer, ASlowReaderOfAFileHoldsNeitherThreadNorFile) {
  std::string content(30 << 20, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 13 / 1000);
  zygote_.write("big", content);
  serve();
  HttpClient slow(zygote_.port(), 4096);
  ASSERT_TRUE(slow.send("GET /file/big HTTP/1.1\r\nHost: a\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return zygote_.slot(1).counters.requests == 1; }));
  EXPECT_EQ(closed(), "big");
  EXPECT_TRUE(holds("big")) << "the engine sends from the file, not from a copy";
  EXPECT_TRUE(slow.receive().value_or(Answer{}).body == content);
  EXPECT_EQ(slow.get("/whole").value_or(Answer{}).body, "whole");
  EXPECT_FALSE(holds("big"));
}

TEST_F(WsgiAnswer, AFileIsClosedOnceWhenItsReaderGoes) {
  zygote_.write("big", std::string(30 << 20, 'x'));
  serve();
  {
    HttpClient client(zygote_.port(), 4096);
    ASSERT_TRUE(client.send("GET /file/big HTTP/1.1\r\nHost: a\r\n\r\n"));
    ASSERT_TRUE(client.receive(true).has_value());
  }
  EXPECT_TRUE(eventually([&] { return !holds("big"); }));
  EXPECT_EQ(closed(), "big");
}

TEST_F(WsgiAnswer, TheValidatorIsContentWithFilesAndHints) {
  serve(std::string(kAnswers) + "\nfrom wsgiref.validate import validator\napp = validator(app)\n");
  EXPECT_EQ(get("/file/plain").body, "0123456789");
  EXPECT_EQ(get("/file/bytes").body, "bytes");
  HttpClient client(zygote_.port());
  EXPECT_EQ(client.get("/hints").value_or(Answer{}).status, 103);
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "hinted");
  EXPECT_EQ(closed(), "plain");
  EXPECT_EQ(zygote_.log().find("AssertionError"), std::string::npos) << zygote_.log();
}

TEST_F(WsgiAnswer, EarlyHintsComeBeforeTheAnswer) {
  serve();
  HttpClient client(zygote_.port());
  EXPECT_EQ(client.get("/hints").value_or(Answer{}).head,
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\nX-B: c\r\n");
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "hinted");
  EXPECT_EQ(client.get("/bad-hints").value_or(Answer{}).body, "refused");
  HttpClient old(zygote_.port());
  ASSERT_TRUE(old.send("GET /hints HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(old.rest().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(WsgiAnswer, HintsOfAnEarlierRequestCannotBeSentLater) {
  serve();
  HttpClient client(zygote_.port());
  EXPECT_EQ(client.get("/keep-hints").value_or(Answer{}).body, "kept");
  EXPECT_EQ(client.get("/use-kept-hints").value_or(Answer{}).body,
            "the request is over, nothing can be sent any more");
}

TEST_F(WsgiAnswer, IterablesAreClosedOnceHoweverTheyEnd) {
  serve();
  EXPECT_EQ(get("/whole").body, "whole");
  EXPECT_EQ(closed(), "whole");
  EXPECT_EQ(get("/raising").status, 0) << "an answer that is not whole";
  EXPECT_EQ(closed(), "raising");
  EXPECT_EQ(get("/not-iterable").status, 500);
  EXPECT_EQ(closed(), "not iterable");
  {
    HttpClient client(zygote_.port());
    ASSERT_TRUE(client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"));
    ASSERT_TRUE(client.receive(true).has_value());
  }
  EXPECT_EQ(closed(), "endless") << "the client has gone";
  EXPECT_EQ(closed(), "");
}

TEST_F(WsgiAnswer, ExcInfoIsRaisedAgainOnceTheHeadIsSent) {
  serve();
  EXPECT_EQ(get("/exc-info").status, 0) << "broken off";
  EXPECT_NE(zygote_.log().find("KeyError: 'inner'"), std::string::npos);
  EXPECT_EQ(closed(), "exc-info");
}

}  // namespace
}  // namespace appd::test
