// SPDX-License-Identifier: GPL-2.0-or-later
/* /dev/giantvm: control requests, and the RAM of the VM that an open file stands for. */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "kernel_internal.h"

#define WAIT_MAX_MS 60000
#define NODES_MAX   4096 /* records a request */

static const struct file_operations vm_fops;

static int on_open(struct inode *inode, struct file *file)
{
	struct gvm_vm *vm;
	int err;

	vm = gvm_vm_use(0, true, &err);
	file->private_data = vm;
	if (vm)
		file->f_mapping = vm->inode->i_mapping;
	return 0;
}

static int on_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		gvm_vm_unuse(file->private_data);
	return 0;
}

static loff_t on_llseek(struct file *file, loff_t off, int whence)
{
	struct gvm_vm *vm = file->private_data;

	if (!vm)
		return -ENXIO;
	return fixed_size_llseek(file, off, whence, (loff_t)(vm->ram_pages << PAGE_SHIFT));
}

static int on_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gvm_vm *vm = file->private_data;

	if (!vm)
		return -ENXIO;
	if (!gvm_vm_running(vm))
		return -ENODEV;
	/* A private copy would be neither the guest's memory nor coherent with it. */
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL;
	if (vma->vm_pgoff > vm->ram_pages || vma_pages(vma) > vm->ram_pages - vma->vm_pgoff)
		return -EINVAL;
	/* No struct page for others: what they pinned could not be taken away. */
	gvm_vma_set_flags(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &gvm_vm_ops;
	vma->vm_private_data = vm;
	return 0;
}

/* Control. */

static int set_gateway(void __user *arg)
{
	struct gvm_ioctl_gateway g;

	if (copy_from_user(&g, arg, sizeof(g)))
		return -EFAULT;
	if (g.port && !g.ip)
		return -EINVAL;
	return gvm_gateway_set(NULL, g.gw_id, g.ip, g.port);
}

static int get_gateway(void __user *arg)
{
	struct gvm_ioctl_gateway_info g;
	struct sockaddr_in at;

	if (copy_from_user(&g, arg, sizeof(g)))
		return -EFAULT;
	if (g.version != GVM_IOCTL_VERSION)
		return -EPROTO;
	g.gw_id = gvm_gateway_next(g.gw_id, &at);
	if (g.gw_id >= GVM_MAX_GATEWAYS)
		return -ENOENT;
	g.ip = (__force u32)at.sin_addr.s_addr;
	g.port = (__force u16)at.sin_port;
	g.reserved = 0;
	return copy_to_user(arg, &g, sizeof(g)) ? -EFAULT : 0;
}

static int create(void __user *arg)
{
	struct gvm_ioctl_create c;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	return c.version == GVM_IOCTL_VERSION ? gvm_vm_create(&c) : -EPROTO;
}

static int nodes(void __user *arg)
{
	struct gvm_ioctl_node *out;
	struct gvm_ioctl_nodes q;
	struct gvm_vm *vm;
	int err = -ENOMEM;

	if (copy_from_user(&q, arg, sizeof(q)))
		return -EFAULT;
	if (q.version != GVM_IOCTL_VERSION)
		return -EPROTO;
	if (!q.count || q.count > NODES_MAX || q.wait_ms > WAIT_MAX_MS)
		return -EINVAL;
	vm = gvm_vm_get(q.vm_id);
	if (!vm)
		return -ENOENT;
	out = kvcalloc(q.count, sizeof(*out), GFP_KERNEL);
	if (out)
		err = gvm_roster_read(vm, &q, out);
	if (!err && (copy_to_user(u64_to_user_ptr(q.records), out, q.count * sizeof(*out)) ||
		     copy_to_user(arg, &q, sizeof(q))))
		err = -EFAULT;
	kvfree(out);
	gvm_vm_put(vm);
	return err;
}

static int start(void __user *arg)
{
	struct gvm_ioctl_member *members;
	struct gvm_ioctl_start s;
	struct gvm_vm *vm;
	int err;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (s.version != GVM_IOCTL_VERSION)
		return -EPROTO;
	if (!s.nmembers || s.nmembers > GVM_MAX_SLAVES)
		return -EINVAL;
	vm = gvm_vm_get(s.vm_id);
	if (!vm)
		return -ENOENT;
	members = kvcalloc(s.nmembers, sizeof(*members), GFP_KERNEL);
	err = members ? 0 : -ENOMEM;
	if (!err &&
	    copy_from_user(members, u64_to_user_ptr(s.members), s.nmembers * sizeof(*members)))
		err = -EFAULT;
	if (!err) {
		err = gvm_vm_start(vm, &s, members);
		if (copy_to_user(arg, &s, sizeof(s)) && !err)
			err = -EFAULT;
	}
	kvfree(members);
	gvm_vm_put(vm);
	return err;
}

static int destroy(void __user *arg)
{
	struct gvm_ioctl_vm v;

	if (copy_from_user(&v, arg, sizeof(v)))
		return -EFAULT;
	if (v.version != GVM_IOCTL_VERSION)
		return -EPROTO;
	return v.reserved ? -EINVAL : gvm_vm_destroy(v.vm_id, v.flags);
}

static int stat(void __user *arg)
{
	struct gvm_ioctl_stat *s;
	struct gvm_vm *vm;
	u32 head[2]; /* version, vm_id */
	int err;

	if (copy_from_user(head, arg, sizeof(head)))
		return -EFAULT;
	if (head[0] != GVM_IOCTL_VERSION)
		return -EPROTO;
	vm = gvm_vm_next(head[1]);
	if (!vm)
		return -ENOENT;
	s = kmalloc(sizeof(*s), GFP_KERNEL);
	if (s)
		gvm_stats_fill(vm, s);
	gvm_vm_put(vm);
	if (!s)
		return -ENOMEM;
	err = copy_to_user(arg, s, sizeof(*s)) ? -EFAULT : 0;
	kfree(s);
	return err;
}

/* A descriptor of its own, since a file stays with the mapping it was opened with. */
static int open_vm(void __user *arg)
{
	struct gvm_ioctl_vm v;
	struct gvm_vm *vm;
	struct file *file;
	int err, fd;

	if (copy_from_user(&v, arg, sizeof(v)))
		return -EFAULT;
	if (v.version != GVM_IOCTL_VERSION)
		return -EPROTO;
	if (v.flags || v.reserved)
		return -EINVAL;
	vm = gvm_vm_use(v.vm_id, false, &err);
	if (!vm)
		return err;
	fd = get_unused_fd_flags(O_CLOEXEC);
	file = fd < 0 ? ERR_PTR(fd)
		      : anon_inode_getfile("[giantvm]", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (IS_ERR(file)) {
		if (fd >= 0)
			put_unused_fd(fd);
		gvm_vm_unuse(vm);
		return PTR_ERR(file);
	}
	file->f_mapping = vm->inode->i_mapping;
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	fd_install(fd, file);
	return fd;
}

static long on_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	if (cmd == IOCTL_VM_OPEN)
		return open_vm(p);
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	switch (cmd) {
	case IOCTL_SET_GATEWAY:
		return set_gateway(p);
	case IOCTL_GET_GATEWAY:
		return get_gateway(p);
	case IOCTL_VM_CREATE:
		return create(p);
	case IOCTL_VM_NODES:
		return nodes(p);
	case IOCTL_VM_START:
		return start(p);
	case IOCTL_VM_DESTROY:
		return destroy(p);
	case IOCTL_VM_STAT:
		return stat(p);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = on_open,
	.release = on_release,
	.llseek = on_llseek,
	.mmap = on_mmap,
	.unlocked_ioctl = on_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = on_release,
	.llseek = on_llseek,
	.mmap = on_mmap,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "giantvm",
	.fops = &device_fops,
	.mode = 0600,
};

int gvm_device_init(void)
{
	return misc_register(&device);
}

void gvm_device_exit(void)
{
	misc_deregister(&device);
}
