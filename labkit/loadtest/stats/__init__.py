"""What the samples allow to say, tested against simulated truth: intervals, warm-up, fairness, queues, scaling.

The run is the unit: requests of one run share its queue, so they are not independent, and an interval over them is far
too narrow (`intervals` shows it once, as a trap).
"""
