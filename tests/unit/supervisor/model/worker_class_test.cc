// Names of classes, and what sync, gthread and auto have to do with each other.
#include "supervisor/model/worker_class.h"

#include <gtest/gtest.h>

namespace appd::model {
namespace {

TEST(WorkerClass, NamesThatPeopleHaveInTheirFilesBecomeOurs) {
  const std::pair<const char*, const char*> cases[] = {
      {"gunicorn.workers.sync.SyncWorker", "sync"},
      {"gunicorn.workers.gthread.ThreadWorker", "gthread"},
      {"gunicorn.workers.ggevent.GeventWorker", "gevent"},
      {"gunicorn.workers.geventlet.EventletWorker", "eventlet"},
      {"gunicorn.workers.gtornado.TornadoWorker", "tornado"},
      {"gunicorn.workers.gasgi.ASGIWorker", "asgi"},
      {"egg:gunicorn#gevent", "gevent"},
      {"egg:gunicorn#gevent_pywsgi", "gevent"},
      {"uvicorn.workers.UvicornWorker", "asgi"},
      {"uvicorn.workers.UvicornH11Worker", "asgi"},
      {"uvicorn_worker.UvicornWorker", "asgi"},
      {"asyncio", "asgi"},
      {"uvloop", "asgi"},
  };
  for (const auto& [given, ours] : cases) EXPECT_EQ(canonical_worker_class(given), ours) << given;
}

TEST(WorkerClass, ANameMayAskForALoopToo) {
  const std::pair<const char*, const char*> cases[] = {
      {"uvloop", "uvloop"},
      {"asyncio", "asyncio"},
      {"uvicorn.workers.UvicornH11Worker", "asyncio"},
      {"uvicorn_worker.UvicornH11Worker", "asyncio"},
      {"uvicorn.workers.UvicornWorker", ""},  // uvicorn's "auto", which is ours too
      {"gunicorn.workers.gasgi.ASGIWorker", ""},
      {"asgi", ""},
      {"gevent", ""},
      {"nothing", ""},
  };
  for (const auto& [name, loop] : cases) EXPECT_EQ(loop_of_worker_class(name), loop) << name;
}

TEST(WorkerClass, OwnAndUnknownNamesStayAsTheyAre) {
  for (std::string_view own : worker_classes()) EXPECT_EQ(canonical_worker_class(own), own);
  for (const char* other : {"", "Sync", "meinheld", "egg:gunicorn#meinheld", "egg:gunicorn#"}) {
    EXPECT_EQ(canonical_worker_class(other), other);
  }
}

TEST(WorkerClass, ThreadsTurnSyncAndAutoIntoGthread) {
  for (const char* served : {"", "sync", "gthread"}) {
    for (const char* asked : {"auto", "sync"}) {
      EXPECT_EQ(effective_worker_class(asked, served, 1), "sync") << asked << " " << served;
      EXPECT_EQ(effective_worker_class(asked, served, 2), "gthread") << asked << " " << served;
    }
    EXPECT_EQ(effective_worker_class("gthread", served, 1), "gthread") << served;
  }
}

TEST(WorkerClass, WhatServesIsShownAndNotWhatIsOnItsWay) {
  EXPECT_EQ(effective_worker_class("auto", "asgi", 4), "asgi");
  EXPECT_EQ(effective_worker_class("sync", "gevent", 1), "gevent");
  EXPECT_EQ(effective_worker_class("gevent", "sync", 1), "sync");
  EXPECT_EQ(effective_worker_class("gevent", "sync", 4), "gthread");
  EXPECT_EQ(effective_worker_class("gevent", "", 1), "gevent") << "nothing is known yet";
}

TEST(WorkerClass, ChangesInPlaceToWhatIsTheSameCode) {
  EXPECT_TRUE(changes_in_place("sync", "gthread", ""));
  EXPECT_TRUE(changes_in_place("gevent", "gevent", "gevent"));
  for (const char* other : {"sync", "gthread"}) {
    EXPECT_TRUE(changes_in_place("auto", other, "sync"));
    EXPECT_TRUE(changes_in_place(other, "auto", "gthread"));
    EXPECT_FALSE(changes_in_place("auto", other, "asgi"));
    EXPECT_FALSE(changes_in_place("auto", other, ""));
    EXPECT_FALSE(changes_in_place(other, "gevent", "sync"));
    EXPECT_FALSE(changes_in_place(other, "asgi", "sync"));
  }
  EXPECT_TRUE(changes_in_place("auto", "asgi", "asgi"));
  EXPECT_TRUE(changes_in_place("asgi", "auto", "asgi"));
  EXPECT_TRUE(changes_in_place("auto", "tornado", "tornado"));
  EXPECT_TRUE(changes_in_place("tornado", "auto", "tornado"));
  EXPECT_FALSE(changes_in_place("auto", "asgi", "sync"));
  EXPECT_FALSE(changes_in_place("gevent", "auto", "gevent")) << "auto does not come to be gevent";
  EXPECT_FALSE(changes_in_place("gevent", "eventlet", "gevent"));
}

}  // namespace
}  // namespace appd::model
