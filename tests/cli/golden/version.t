$ qkscope version -q
> qkscope         <*>
> BLAS            OpenBLAS <*>
> ...
> LAPACK <*>
> ...
> HDF5            1.<*>
> ...
> cJSON           <*>cjson<*>
> ...
> CPU features    <*>
> threads         <*>

$ qkscope version --json | grep hdf5
>   "hdf5": "1.<*>",
>   "hdf5_library": "<*>hdf5<*>",

# kernels are chosen once, and a choice of the user's stays
$ OPENBLAS_CORETYPE=Nehalem qkscope version --json | grep core
>   "blas_core": "Nehalem",
>   "blas_core_unaided": null,

$ QKSCOPE_BLAS_CORE_CHOSEN=x qkscope version --json | grep unaided
>   "blas_core_unaided": "x: <*>",
