"""Training: the paper's recipe on the reference networks, with faces that the project renders or with photos.

    e4s train parser -o runs/parser                                 a parser, then
    e4s train rgi -o runs/rgi --parser P --labels-by P              P: runs/parser/model.safetensors
    e4s train rgi -o runs/mine --data FFHQ --recipe paper --stylegan2 550000.pt      as published, on photos
    torchrun --nproc-per-node 8 -m e4s_engine.cli train rgi ...                      on several GPUs
    e4s train rgi -o runs/rgi --resume                              after an interruption

`recipe` holds everything that determines a run, as data. `faces` renders swaps with their exact answers into
a cache on disk, `found` labels them with a parser, `photos` reads a user's folders, `batches` turns either
into tensors. `networks` initialises, loads and exports parameters, `tasks` defines the training steps,
`losses` and `critic` (the discriminator) their objectives. `learner` is the optimiser, `captured` runs a step
as one CUDA graph, `loop` is the training loop, `spread` distributed training, `command` the command line. The
networks are the package's own `encode`, `decode` and `parse` over `ops.reference` (`ops.training` for batch
norms and squeeze-excite).
"""
