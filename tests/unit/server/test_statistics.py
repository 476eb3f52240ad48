"""Counts and times of calls in ModelStatistics, also with many threads at once."""

from __future__ import annotations

import threading

from google.protobuf import json_format

from gpumodels.protocol import messages
from gpumodels.server.statistics import Statistics


def written(statistics):
    response = messages.ModelStatisticsResponse()
    statistics.write(response.model_stats.add())
    return response.model_stats[0]


def test_the_time_of_a_call_is_split_into_its_stages():
    statistics = Statistics()
    statistics.answered(came=100, began=110, read=130, ended=170, replied=250)
    statistics.answered(came=0, began=1, read=2, ended=3, replied=4)
    statistics.failed(came=5, ended=12)
    told = written(statistics)
    assert (told.inference_count, told.execution_count) == (2, 2)
    assert told.last_inference > 0
    durations = json_format.MessageToDict(told.inference_stats)
    assert {name: (int(each["count"]), int(each["ns"])) for name, each in durations.items()} == {
        "success": (2, 154),
        "fail": (1, 7),
        "queue": (2, 11),
        "computeInput": (2, 21),
        "computeInfer": (2, 41),
        "computeOutput": (2, 81),
    }


def test_a_model_that_was_never_called_has_zero_counts():
    told = written(Statistics())
    assert (told.inference_count, told.last_inference, told.inference_stats.success.count) == (0, 0, 0)


def test_no_call_is_lost_when_many_threads_count():
    statistics = Statistics()

    def count():
        for _ in range(2000):
            statistics.answered(0, 1, 2, 3, 4)
            statistics.failed(0, 1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = written(statistics)
    assert told.inference_stats.success.ns == 4 * 16000
    assert told.inference_stats.fail.count == 16000
