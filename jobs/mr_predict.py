"""Predict as an ordinary mrjob job; copy it and fix what does not change for you.

    python jobs/mr_predict.py -r inline --model examples/digits/model.py:Digits \\
        --weights examples/digits/digits.safetensors examples/digits/data --output-dir predictions

    python jobs/mr_predict.py -r hadoop -D mapreduce.job.queuename=night --model model.py:Net \\
        --inputs x,y hdfs:///data --output-dir hdfs:///predictions

All of mrjob's own options (-r, -D, --conf-path, ...) work; --help lists them with mrmodel's.
"""

from mrmodel.jobs.mr_predict import MRPredict


class MRModelPredict(MRPredict):
    """Every option from the command line. Set MODEL, WEIGHTS, INPUTS or KEEP here to fix them."""


if __name__ == "__main__":
    MRModelPredict.run()
