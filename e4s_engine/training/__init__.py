"""Training: the paper's recipe on the reference networks, on faces that the project renders or on photos.

    e4s train parser -o runs/parser                                 a parser, then
    e4s train rgi -o runs/rgi --parser P --labels-by P              P: runs/parser/model.safetensors
    e4s train rgi -o runs/mine --data FFHQ --recipe paper --stylegan2 550000.pt      as published, on photos
    torchrun --nproc-per-node 8 -m e4s_engine.cli train rgi ...                      on several GPUs
    e4s train rgi -o runs/rgi --resume                              after an interruption

`recipe` is what decides a run, as data. `faces` renders swaps with their exact answers into a cache on disk,
`found` has a parser label them, `photos` reads folders of a user's own, `batches` makes either into tensors;
`networks` holds the parameters, `tasks` what is computed with them, `losses` and `critic` what is wanted of
them; `learner` is the optimiser, `captured` a step as one CUDA graph, `loop` the run, `spread` several
processes, `command` the command line. The networks themselves are the package's own `encode`, `decode` and
`parse` over `ops.reference` (`ops.training` for batch norms and squeeze-excite).
"""
