"""The public import path of the one-process ensemble; everything lives in `ensemble.hybrid`."""

from core.messages import Strategy, TaskType
from ensemble.hybrid import EnsembleConfig, HybridMathCodeEnsemble, HybridResult

__all__ = ["EnsembleConfig", "HybridMathCodeEnsemble", "HybridResult", "Strategy", "TaskType"]
