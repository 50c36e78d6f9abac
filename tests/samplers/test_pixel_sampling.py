from benchmarks import pixel_sampling


def test_fast_run_asserts_equal_samples_and_measures_both_samplers():
    for made in pixel_sampling.run(fast=True, batch_size=2, rounds=1):
        assert made["name"] in pixel_sampling.MARKS and made["mismatches"] == 0 and made["traces"] == 1
        assert made["ratio"]["median"] > 0 and made["naive_s"]["median"] > 0
