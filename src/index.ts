/** What a Pulumi program imports. Pulls in nothing but @pulumi/pulumi; the work is done in `pulumi-microvm/provider`. */
export { MicroVm, type MicroVmArgs } from "./resources/MicroVm.js";
export { MicroVmError, errorCodes, type ErrorCode } from "./errors.js";
